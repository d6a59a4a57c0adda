"""Random soak of the compiled chip: seals on a bus through everything at once, held against a model.

`python -m verif.campaigns.soak --seconds 600 --seed 1`; nothing here runs once a clock cycle.
"""
