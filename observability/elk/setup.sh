#!/bin/sh
# Puts the life cycle, the pipeline, the template and Kibana's objects in place. May be run again.
#   ELASTICSEARCH  http://elasticsearch:9200
#   KIBANA         http://kibana:5601; empty: Kibana is left alone
set -eu
here=$(cd "$(dirname "$0")" && pwd)
elasticsearch=${ELASTICSEARCH:-http://elasticsearch:9200}
kibana=${KIBANA-http://kibana:5601}

# Plain --fail: not every image's curl is new enough to show the answer as well.
put() {
    echo "$1"
    curl --fail --silent --show-error --output /dev/null --retry 10 --retry-connrefused --retry-delay 3 \
        --request PUT --header 'Content-Type: application/json' --data-binary "@$here/elasticsearch/$2" "$elasticsearch/$1"
}

put _ilm/policy/tidemark-logs lifecycle.json
put _ingest/pipeline/tidemark-logs pipeline.json
put _index_template/tidemark-logs template.json
if [ -n "$kibana" ]; then
    echo "Kibana: data view, searches, dashboard"
    curl --fail --silent --show-error --output /dev/null --retry 20 --retry-connrefused --retry-delay 3 \
        --header 'kbn-xsrf: true' --form "file=@$here/kibana/tidemark.ndjson" \
        "$kibana/api/saved_objects/_import?overwrite=true"
fi
echo "done"
