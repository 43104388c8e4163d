"""What an expert must be, below all that is one: `first.Expert`, whose evidence is added up, and `late.LateExpert`, which amends.

``logolens.models.experts`` lists those that there are.
"""
