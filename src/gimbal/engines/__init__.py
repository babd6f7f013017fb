"""What Gimbal stands on, and no nouns: storage, compute, statistics, text, and the console's design system."""
