"""deepinside.runtime"""
