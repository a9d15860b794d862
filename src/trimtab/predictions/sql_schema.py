"""Creates the tables of the prediction log."""

from sqlalchemy import Connection, func, insert, inspect, select

from trimtab.predictions.protocol import VERSION, unsupported_version
from trimtab.predictions.sql_tables import marker, metadata, predictions


def prepare(connection: Connection, redacted_url: str) -> None:
    """Create the tables. The connection must be in a transaction that excludes other writers.

    Raises:
        Unfit: The log has a version that this code does not support. Nothing was changed.
    """
    tables = inspect(connection)
    if tables.has_table(marker.name):
        version = connection.execute(select(func.max(marker.c.version))).scalar_one()
        if version != VERSION:
            raise unsupported_version(redacted_url, version)
    elif tables.has_table(predictions.name):
        raise unsupported_version(redacted_url, "none")
    else:
        metadata.create_all(connection)
        connection.execute(insert(marker).values(version=VERSION))
