"""`deepinside explore`: a page on this machine that shows what a network sees in a photograph, as choices are made."""
