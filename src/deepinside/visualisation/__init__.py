"""deepinside.visualisation"""
