"""deepinside.artifacts"""
