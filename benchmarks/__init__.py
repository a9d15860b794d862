"""What trimtab does beside what a user would pick instead, in figures."""
