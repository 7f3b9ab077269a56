#!/bin/sh
# A check is any program that prints a line and exits with 0 (ok), 1 (warning), 2 (critical) or 3 (unknown).
# This one is here to be broken: it fails while a file exists.
file='@FILE@'
if [ -e "$file" ]; then
    echo "CRITICAL - $file exists; remove it and this recovers"
    exit 2
fi
echo "OK - all is well; to see an alert: touch $file"
