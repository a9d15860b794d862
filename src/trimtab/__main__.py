"""`python -m trimtab`: the command line of a checkout, with `PYTHONPATH=src`."""

from trimtab.cli import app

app(prog_name="trimtab")
