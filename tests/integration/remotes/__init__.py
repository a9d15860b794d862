"""DVC remotes of each kind, on real servers."""
