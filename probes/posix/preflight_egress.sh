# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Can the host reach what the replacement needs? A connection and no more, to what was asked for and nothing else, with whatever program
# is there. A part of a script, see frame.sh.
# shellcheck disable=SC2034,SC2086,SC2154,SC2016,SC3013  # programs of other languages are quoted

probe_egress() {
  [ -n "$EVICT_PREFLIGHT_ENDPOINTS" ] || return 0
  limit=$brief dialers=
  for name in bash curl nc wget openssl python3; do
    has "$name" || continue
    case $EVICT_PREFLIGHT_PROXY:$name in
      ?*:wget | ?*:openssl) continue ;; # they talk of their own accord
      *:wget) resolve "$(command -v wget)" && case $real in *busybox*) continue ;; esac ;; # does not tell a connection from silence
    esac
    dialers=$dialers$name$nl
  done
  # All at once. When time is up the alarm ends the programs and the shells that wait for them, and who has not answered has timed out.
  rows=$(
    for endpoint in $EVICT_PREFLIGHT_ENDPOINTS; do
      knock "$endpoint" &
    done
    wait
  )
  for endpoint in $EVICT_PREFLIGHT_ENDPOINTS; do
    state=timeout text="no answer in $limit s"
    for row in $rows; do
      case $row in "=$endpoint "*) row=${row#"=$endpoint "} && state=${row%% *} text=${row#* } ;; esac
    done
    case $state in
      invalid) unknown "$endpoint: not host:port" ;;
      *) record endpoint "$endpoint" state "$state" detail "$text" ;;
    esac
  done
}

knock() { # HOST:PORT -> a row: =HOST:PORT STATE DETAIL
  state=no_tool text='bash, curl, nc, wget, openssl and python3 are missing'
  host=${1%:*} port=${1##*:} say=
  host=${host#\[} && host=${host%\]}
  case $host:$port in
    :* | -* | *[!A-Za-z0-9.:_-]*) port= ;;
  esac
  case $port in
    '' | *[!0-9]*) printf '=%s invalid\n' "$1" && return 0 ;;
  esac
  via=
  if [ -n "$EVICT_PREFLIGHT_PROXY" ]; then
    via="proxy $EVICT_PREFLIGHT_PROXY"
    case $port in # many a proxy opens no tunnel to a port that it speaks for itself
      80) say="HEAD http://$host/ HTTP/1.0$cr$nl$cr$nl" ;;
      *) say="CONNECT ${1} HTTP/1.1${cr}${nl}Host: ${1}$cr$nl$cr$nl" ;;
    esac
    host=${EVICT_PREFLIGHT_PROXY%:*} port=${EVICT_PREFLIGHT_PROXY##*:}
    host=${host#\[} && host=${host%\]}
  fi
  for name in $dialers; do
    said=$(dial "$name" 2>&1)
    code=$?
    case $code:$said in
      *'/dev/tcp/'*'No such file'* | *nvalid\ option* | *nrecognized\ option* | *'not supported'* | 126:* | 127:*) continue ;;
    esac
    heard
    break
  done
  for text in $text; do break; done # one line
  printf '=%s %s %s\n' "$1" "$state" "$via${text:+${via:+: }}$(printf %.200s "$text")"
}

dial() { # PROGRAM, and host, port, say; what is said and heard goes to and comes from the other end
  case $1 in
    bash)
      bash -c 'exec 3<>"/dev/tcp/$0/$1" || exit 7; [ -z "$2" ] || { printf %s "$2" >&3; IFS= read -r a <&3; echo "$a"; }' \
        "$host" "$port" "$say"
      ;;
    curl)
      case $host in *:*) set -- "[$host]" ;; *) set -- "$host" ;; esac
      printf %s "$say" | curl -q -s -S --noproxy '*' -m 2 -w '\n%{time_connect}' "telnet://$1:$port"
      ;;
    nc)
      if [ -n "$say" ]; then printf %s "$say" | nc -w 2 "$host" "$port"; else nc -z -v -w 2 "$host" "$port"; fi
      ;;
    # Of this protocol the server speaks first, so nothing is sent.
    wget) wget --no-config --no-proxy -T 2 -t 1 -O /dev/null "ftp://$host:$port/x" ;;
    openssl)
      case $host in *:*) set -- "[$host]" ;; *) set -- "$host" ;; esac
      openssl s_client -connect "$1:$port"
      ;;
    python3)
      python3 -c 'import socket,sys
h,p,t=sys.argv[1:]
with socket.create_connection((h,int(p)),3) as s:
    if t: s.sendall(t.encode()); print(s.makefile(errors="replace").readline().strip())' "$host" "$port" "$say"
      ;;
  esac
}

heard() { # from name, code, said, say -> state, text
  row=
  for row in $said; do :; done # the last line: curl's time of the connection
  case $name:$code:$row in
    curl:*:0.0* | curl:*:0,0*) case $row in *[1-9]*) code=0 ;; esac ;;
    curl:*:*[0-9]) code=0 ;;
  esac
  case $name:$said in wget:*' connected.'* | openssl:*CONNECTED*) code=0 ;; esac
  text=
  case $code:$said in
    0:*) state=open ;;
    137:* | 265:*) state=timeout text="no answer in $limit s" ;;
    *'ame or service not known'* | *'name resolution'* | *'not resolve'* | *'nable to resolve'* | *'bad address'* | *'No address associated'* | *'nodename nor'* | *'forward host lookup failed'* | *'Host not found'*)
      state=unresolved text='the name cannot be resolved'
      ;;
    *'imed out'* | *timeout*) state=timeout text='no answer' ;;
    *'No route'* | *unreachable*) state=refused text='there is no way to it' ;;
    *refused* | *'connect to server'*) state=refused text='connection refused' ;;
    *) state=refused text="$name: ended with $code" ;;
  esac
  [ -n "$say" ] && [ $state = open ] || return 0
  # What the proxy said: tunnels are 200, a page may be anything but a refusal of the proxy.
  row=
  for row in $said; do
    case $row in HTTP/*) break ;; esac
  done
  row=${row%"$cr"}
  case $row in
    HTTP/1.[01]\ 2*) return 0 ;;
    HTTP/1.[01]\ 504*) state=timeout ;;
    HTTP/1.[01]\ 40[37]* | HTTP/1.[01]\ 5*) state=refused ;;
    HTTP/1.[01]\ [34]*) case $say in HEAD*) return 0 ;; *) state=refused ;; esac ;;
    *) state=refused row='its answer is not HTTP' ;;
  esac
  text=$row
}
