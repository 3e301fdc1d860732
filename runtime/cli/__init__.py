"""The `weft` command; each sub-command is imported only when it is used."""
