"""deepinside.api"""
