"""What answers: backbones, heads, matcher, pairwise experts, and how they are weighed."""
