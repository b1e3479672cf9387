"""The operations, by family: each with its derivatives, its formula and all facts about it."""
