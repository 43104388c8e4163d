"""A demonstration on real brands' artwork: compose photos, train, evaluate, predict, and leave a page to look at."""
