"""deepinside.pipeline"""
