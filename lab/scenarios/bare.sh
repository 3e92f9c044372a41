#: sentence = "Nothing but what a guest needs: for running a script in it."
. "$LAB/lib.sh"
ready
