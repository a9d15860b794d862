"""Backup, restore, garbage collection, erasure, and the doctor."""
