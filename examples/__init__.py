"""Example projects; nothing in trimtab imports them."""
