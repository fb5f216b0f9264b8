"""The functions of `import deepinside`, and their results."""
