#!/usr/bin/env bash
# Celery 5.7.0 with Django 5.2.8: an application that was made with set_as_current=False, so as to stay out of the way,
# becomes the default application of the process all the same when DJANGO_SETTINGS_MODULE is set and it is the first to
# be made: celery/fixups/django.py calls set_default() in DjangoFixup.__init__. A library's own application then answers
# for `current_app` and `shared_task` in the threads of the project. `fixups=()` prevents it.
#
# Seen: "guest is the default: True" and, with fixups=(), "guest is the default: False".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet celery==5.7.0 kombu==5.7.0 Django==5.2.8
cd "$folder"
cat >project_settings.py <<'PY'
SECRET_KEY = "x"
PY
cat >probe.py <<'PY'
import sys

from celery import Celery, _state

guest = Celery("guest", broker="memory://", set_as_current=False, **({"fixups": ()} if sys.argv[1] == "without" else {}))
print(f"guest is the default: {_state.default_app is guest}")
PY
export DJANGO_SETTINGS_MODULE=project_settings
seen=$("$folder/env/bin/python" probe.py with; "$folder/env/bin/python" probe.py without)
echo "$seen"
[ "$seen" = $'guest is the default: True\nguest is the default: False' ]
