"""What a model looks at: concept directions in the vision tower, a linear probe of it, heat maps for a word."""
