"""Facts of one model: what came in, was measured, decided and moved, and why."""
