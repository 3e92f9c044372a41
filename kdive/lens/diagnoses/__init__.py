"""The diagnoses, a file for each subject. A new file here is all that a new diagnosis needs.

What lives here reads the target through helpers and yields rows and findings. How they are run and shown is the
frame's business (`kdive.lens`).
"""
