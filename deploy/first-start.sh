#!/usr/bin/env bash
# Writes what compose needs and no repository may hold: .env.local, from .env.example, with new tokens, and the
# files in deploy/secrets. What is there already stays.
#
# The files are readable by all, because containers run under accounts of their own; their folder is not.
set -euo pipefail
umask 077
cd "$(dirname "$0")/.."
settings="${1:-.env.local}"
secrets="${2:-deploy/secrets}"

command -v openssl > /dev/null || { echo "openssl is missing, which makes the secrets" >&2; exit 1; }
random() { openssl rand -hex 24; }

if [[ ! -f "$settings" ]]; then
    while IFS= read -r line; do
        case "$line" in
            DAPR_API_TOKEN= | APP_API_TOKEN=) echo "$line$(random)" ;;
            *) echo "$line" ;;
        esac
    done < .env.example > "$settings.new"
    mv "$settings.new" "$settings"
    echo "wrote $settings" >&2
fi
# An older one, of the native stack alone, has neither, and perhaps no end of its last line.
[[ -z "$(tail --bytes 1 "$settings")" ]] || echo >> "$settings"
for name in DAPR_API_TOKEN APP_API_TOKEN; do
    grep --quiet "^$name=." "$settings" || echo "$name=$(random)" >> "$settings"
done

mkdir -p "$secrets"
missing() { [[ ! -f "$secrets/$1" ]]; }
put() {
    cat > "$secrets/$1.new"
    chmod 0444 "$secrets/$1.new"
    mv "$secrets/$1.new" "$secrets/$1"
}
for name in redis-password postgres-admin-password postgres-password postgres-monitor-password grafana-password; do
    if missing "$name"; then random | tr -d '\n' | put "$name"; fi
done
# In the words of RabbitMQ's own configuration, which cannot take a password from a file of its own.
if missing rabbitmq-account.conf; then
    printf 'default_user = tidemark\ndefault_pass = %s\n' "$(random)" | put rabbitmq-account.conf
fi
# Without an address, alerts are shown by Alertmanager and sent nowhere.
if missing slack-webhook; then printf '' | put slack-webhook; fi
if missing secret-store.json; then
    key="$(openssl genpkey -algorithm ed25519)"
    printf '{"redis-password":"%s","postgres-password":"%s","jwt-signing-key":"%s\\n"}\n' \
        "$(cat "$secrets/redis-password")" "$(cat "$secrets/postgres-password")" "${key//$'\n'/\\n}" |
        put secret-store.json
fi
