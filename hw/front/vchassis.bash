# bash completion for vchassis: verbs, options, labs, nodes, hosts and links that run now.
# shellcheck shell=bash

_vchassis_words() # KIND [--lab LAB]: names that vchassis ps shows
{
    local kind=$1
    shift
    "${COMP_WORDS[0]}" ps "$@" 2> /dev/null | awk -v kind="$kind" '
        kind == "lab" && $1 == "lab" { sub(/:$/, "", $2); print $2 }
        kind == "node" && $1 == "node" { print $2 }
        kind == "host" && ($1 == "node" || $1 == "host") { print $2 }'
}

_vchassis_links() # [--lab LAB]
{
    "${COMP_WORDS[0]}" ctl "$@" labd query-links 2> /dev/null |
        awk -F '"' '$2 == "name" { print $4 }'
}

_vchassis_labs() # labs that come with the program
{
    local program
    program=$(readlink -f "$(type -P "${COMP_WORDS[0]}")") || return
    (cd "${VCHASSIS_DATA:-${program%/*}/../share/vchassis}/labs" 2> /dev/null &&
        printf '%s\n' *.yaml | sed 's/\.yaml$//')
}

_vchassis()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local verb=${COMP_WORDS[1]} place=0 i words=
    local -a lab=()

    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words='demo up down wipe ps cli exec log capture link ctl test --help --version'
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        return
    fi
    for ((i = 2; i < COMP_CWORD; i++)); do # which argument is being typed
        case ${COMP_WORDS[i]} in
        --lab) lab=(--lab "${COMP_WORDS[++i]}") ;;
        --model-scale | --seed | --timeout | --lines | --count | --seconds | --output | --tap | \
            --junit | --artifacts | -j | -n | -c | -s) ((i++)) ;;
        -*) ;;
        *) ((place++)) ;;
        esac
    done
    case $prev in
    --lab)
        mapfile -t COMPREPLY < <(compgen -W "$(_vchassis_words lab)" -- "$cur")
        return ;;
    --model-scale | --seed | --timeout | --lines | --count | --seconds | -j) return ;;
    --output | --tap | --junit | --artifacts)
        compopt -o default
        return ;;
    esac
    case $cur in
    -*)
        case $verb in
        demo) words='--output --no-cli' ;;
        up) words='--detach --no-wait --model-scale --seed --timeout --quiet --json' ;;
        down) words='--lab --all' ;;
        ps) words='--lab --json' ;;
        exec) words='--lab --no-terminal' ;;
        log) words='--lab --lines --follow' ;;
        capture) words='--lab --count --seconds' ;;
        cli | link | ctl) words='--lab' ;;
        test) words='--tap --junit --seed -j --artifacts --verbose' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$words --help" -- "$cur")
        return ;;
    esac
    case $verb:$place in
    up:0)
        compopt -o default
        words=$(_vchassis_labs) ;;
    down:0) words=$(_vchassis_words lab) ;;
    cli:0 | log:0 | capture:0) words=$(_vchassis_words node "${lab[@]}") ;;
    ctl:0) words="labd $(_vchassis_words node "${lab[@]}")" ;;
    exec:0) words=$(_vchassis_words host "${lab[@]}") ;;
    exec:1) mapfile -t COMPREPLY < <(compgen -c -- "$cur"); return ;;
    link:0) words=$(_vchassis_links "${lab[@]}") ;;
    link:1) words='up down' ;;
    exec:* | test:* | capture:2) compopt -o default ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _vchassis vchassis
