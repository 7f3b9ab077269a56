"""Whether every GET of the description was answered with 200: else a test by the description has seen only refusals of it."""

import json
import re
import sys
from urllib.parse import urlsplit

import yaml

document, recording = sys.argv[1:]
with open(document) as file:
    reading = [path for path, methods in yaml.safe_load(file)["paths"].items() if "get" in methods]
with open(recording) as file:
    entries = json.load(file)["log"]["entries"]
found = {
    urlsplit(entry["request"]["url"]).path
    for entry in entries
    if entry["request"]["method"] == "GET" and entry["response"]["status"] == 200
}
# a literal path is asked by its own name, so that it is not taken for a value of its neighbour's variable
literal = {path for path in reading if "{" not in path}
unanswered = []
for path in reading:
    pattern = re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"({\w+})", path)) + "/?")
    if not any(pattern.fullmatch(asked) and (path in literal or asked.rstrip("/") not in literal) for asked in found):
        unanswered.append(path)
if unanswered:
    sys.exit(f"never answered with 200: {', '.join(unanswered)}")
print(f"each of {len(reading)} GETs was answered with 200, in {len(entries)} requests", file=sys.stderr)
