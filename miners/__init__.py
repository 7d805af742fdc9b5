"""Miners: they pin what they are paid to store, take turns at sealing, and prove that they still hold it."""
