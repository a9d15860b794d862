"""One module a verb: read, call, write. All I/O of the loop is composed here."""
