"""Create the tables `facts` and `leases`."""

from alembic import op

from trimtab.ledger.tables import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    metadata.create_all(op.get_bind())
