"""`make verify AREA=compose`: the images built from a bare base, and the whole system run, killed and taken down in containers."""
