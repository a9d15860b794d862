"""What takes too long for `make test`: `make verify AREA=…` runs it and appends a row to the verification log."""
