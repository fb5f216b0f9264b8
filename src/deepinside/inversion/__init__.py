"""deepinside.inversion"""
