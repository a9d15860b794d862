"""Erasure of rows from every store."""
