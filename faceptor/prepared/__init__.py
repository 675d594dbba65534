"""Prepared data sets: Arrow shards on disk, written from readers, checked, described by a card, read back."""
