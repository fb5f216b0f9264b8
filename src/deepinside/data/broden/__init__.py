"""deepinside.data.broden"""
