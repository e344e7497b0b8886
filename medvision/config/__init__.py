"""The configuration: typed sections, one model of the whole, generated documents."""
