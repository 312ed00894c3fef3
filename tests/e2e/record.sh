# Sourced by stories: when FAULTLINE_RECORD_DIR names a folder, what this story's services say
# is kept there, for tests/contracts/traffic.js to hold against contracts/.
#
#   record_events COMMAND   keeps the log of the broker, if there is one: before it is removed

record_name= record_logs=0
if [[ -n ${FAULTLINE_RECORD_DIR:-} ]]; then
  record_name=$FAULTLINE_RECORD_DIR/$(basename "$0" .sh)-$$
  export HTTP_RECORD=$record_name.http.jsonl
fi

record_events() {
  [[ -n $record_name ]] || return 0
  record_logs=$((record_logs + 1))
  "$1" tail --from start --once --json >"$record_name.new" 2>/dev/null &&
    [[ -s $record_name.new ]] && mv "$record_name.new" "$record_name-$record_logs.events.jsonl"
  rm -f "$record_name.new"
  return 0
}
