"""Model providers: which model answers, how it is reached, and what happens when it does not answer."""
