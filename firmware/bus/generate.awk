# generate.awk - make the C, JSON, Python and Markdown forms of messages.schema.
#
#   awk -v mode=header -f generate.awk messages.schema > messages.h
#
# Modes: header, source, json, python, reference. The grammar stands at the head of
# messages.schema. Everything is read and checked first; a fault is one line
# "FILE:LINE: what", exit status 1, and no output. POSIX awk (mawk, gawk, busybox):
# no gensub, no length of arrays, no interval expressions.
#
# Names: message or struct `sa-info` is `struct bus_sa_info`; field `since-ns` is `since_ns`
# (a C keyword gets a final underscore); enum value `power` of `boot-stage` is
# BUS_BOOT_STAGE_POWER; message `sa-list` has the number BUS_SA_LIST. Enum fields are uint8_t.

BEGIN {
    failed = 0; version = ""; n_enums = 0; n_blocks = 0; n_messages = 0; n_commands = 0; open = ""
    split("bool u8 u16 u32 u64 i64 addr prefix mac", words, " ")
    for (i in words) scalar[words[i]] = 1
    split("bool u8 u16 u32 u64 i64 addr prefix", words, " ")
    c_type["bool"] = "bool"; c_type["u8"] = "uint8_t"; c_type["u16"] = "uint16_t"
    c_type["u32"] = "uint32_t"; c_type["u64"] = "uint64_t"; c_type["i64"] = "int64_t"
    c_type["addr"] = "struct fw_addr"; c_type["prefix"] = "struct fw_prefix"
    c_type["enum"] = "uint8_t"
    split("u8 u16 u32 prefix struct", words, " ")
    for (i in words) listable[words[i]] = 1
    split("auto break case char const continue default do double else enum extern float for goto " \
          "if inline int long register restrict return short signed sizeof static struct switch " \
          "typedef union unsigned void volatile while bool true false asm typeof", words, " ")
    for (i in words) keyword[words[i]] = 1
    split("struct field type header conn handler router command kind role", words, " ")
    for (i in words) used[words[i]] = "the bus itself"
    split("call reply event re hwd router subscribers address", words, " ")
    for (i in words) used_number[words[i]] = 1
}

function fault(line, text) {
    if (!failed) print FILENAME ":" line ": " text | "cat 1>&2"
    failed = 1
    exit 1
}

function is_name(word) { return word ~ /^[a-z][a-z0-9-]*$/ && word !~ /-$/ && word !~ /--/ }
function is_number(word) { return word ~ /^[1-9][0-9]*$/ }
function c_name(word) { gsub(/-/, "_", word); return word in keyword ? word "_" : word }
function c_tag(word) { gsub(/-/, "_", word); return "bus_" word }
function c_upper(word) { gsub(/-/, "_", word); return "BUS_" toupper(word) }
function quote(text) { gsub(/\\/, "\\\\", text); gsub(/"/, "\\\"", text); return "\"" text "\"" }

function claim(name) {
    if (!is_name(name)) fault(NR, "`" name "` is not a name (lower case, digits, single hyphens)")
    if (name in used) fault(NR, "`" name "` is taken by " used[name])
    used[name] = "line " NR
}

function new_block(name, doc) {
    n_blocks++
    b_name[n_blocks] = name; b_doc[n_blocks] = doc; b_fields[n_blocks] = 0; b_line[n_blocks] = NR
    return n_blocks
}

# A field from words[at..n] into block b.
function add_field(b, at, n,    type, list, name, limit, ref, j, want) {
    type = words[at++]; list = 0; limit = 0; ref = ""
    if (type == "list") { list = 1; type = words[at++] }
    if (type ~ /^enum:/ || type ~ /^struct:/) {
        ref = substr(type, index(type, ":") + 1)
        type = substr(type, 1, index(type, ":") - 1)
    } else if (!(type in scalar) && type != "string" && type != "bytes" && type != "secret") {
        fault(NR, "unknown type `" type "`")
    }
    if (list && !(type in listable)) fault(NR, "a list cannot hold `" type "`")
    name = words[at++]
    if (!is_name(name)) fault(NR, "`" name "` is not a field name")
    want = list || type == "string" || type == "bytes" || type == "secret"
    if (want) {
        limit = words[at++]
        if (!is_number(limit)) fault(NR, "`" name "` needs a limit")
        limit += 0
        if (limit > 65000) fault(NR, "the limit of `" name "` is over 65000")
    }
    if (at != n + 1) fault(NR, "unexpected `" words[at] "` after `" name "`")
    if (doc == "") fault(NR, "`" name "` has no documentation comment")
    for (j = 1; j <= b_fields[b]; j++) if (f_name[b, j] == name) fault(NR, "`" name "` appears twice")
    j = ++b_fields[b]
    if (j > 200) fault(NR, "too many fields")
    f_type[b, j] = type; f_list[b, j] = list; f_name[b, j] = name; f_limit[b, j] = limit
    f_ref[b, j] = ref; f_doc[b, j] = doc; f_line[b, j] = NR
}

{
    line = $0; doc = ""
    at = index(line, "#")
    if (at) {
        doc = substr(line, at + 1); line = substr(line, 1, at - 1)
        sub(/^[ \t]+/, "", doc); sub(/[ \t\r]+$/, "", doc)
    }
    sub(/[ \t\r]+$/, "", line)
    if (line == "") next
    indented = line ~ /^[ \t]/
    n = split(line, words, " ")
}

!indented && words[1] == "version" {
    if (n != 2 || !is_number(words[2])) fault(NR, "version NUMBER")
    if (version != "") fault(NR, "a second version")
    version = words[2]; open = ""; next
}
!indented && words[1] == "enum" {
    if (n != 2) fault(NR, "enum NAME")
    if (!is_name(words[2])) fault(NR, "`" words[2] "` is not a name")
    if (words[2] in enum_of || words[2] == "kind" || words[2] == "role" || words[2] == "field-type")
        fault(NR, "enum `" words[2] "` exists already")
    n_enums++
    e_name[n_enums] = words[2]; e_doc[n_enums] = doc; e_values[n_enums] = 0; e_line[n_enums] = NR
    enum_of[words[2]] = n_enums; open = "enum"; next
}
!indented && words[1] == "struct" {
    if (n != 2) fault(NR, "struct NAME")
    claim(words[2])
    block = new_block(words[2], doc); struct_of[words[2]] = block; open = "struct"; next
}
!indented && words[1] == "message" {
    if (n != 4 && n != 6) fault(NR, "message NAME NUMBER KIND [retained KEY,...]")
    claim(words[2])
    if (words[2] in used_number) fault(NR, "`" words[2] "` is taken by the bus itself")
    if (!is_number(words[3]) || words[3] > 65535) fault(NR, "`" words[3] "` is not a message number")
    if (words[3] in number_line) fault(NR, "number " words[3] " is taken by line " number_line[words[3]])
    number_line[words[3]] = NR
    if (words[4] != "call" && words[4] != "reply" && words[4] != "event")
        fault(NR, "`" words[4] "` is none of call, reply, event")
    m = ++n_messages
    m_name[m] = words[2]; m_number[m] = words[3] + 0; m_kind[m] = words[4]; m_keys[m] = ""
    m_line[m] = NR
    if (n == 6) {
        if (words[5] != "retained" || words[4] != "event") fault(NR, "only an event is `retained KEY,...`")
        m_keys[m] = words[6]
    }
    block = new_block(words[2], doc); m_block[m] = block; open = "message"; next
}
!indented && words[1] == "command" {
    if (n != 2) fault(NR, "command NAME")
    if (!is_name(words[2])) fault(NR, "`" words[2] "` is not a name")
    if (words[2] in command_of) fault(NR, "command `" words[2] "` exists already")
    c = ++n_commands
    command_of[words[2]] = c; k_name[c] = words[2]; k_doc[c] = doc; k_line[c] = NR
    k_in[c] = new_block("command-" words[2] "-in", ""); k_out[c] = new_block("command-" words[2] "-out", "")
    open = "command"; next
}
!indented { fault(NR, "unknown item `" words[1] "`") }
open == "" { fault(NR, "a field outside of an item") }
open == "enum" {
    e = n_enums
    if (n != 1 || !is_name(words[1])) fault(NR, "an enum value is one name")
    if (doc == "") fault(NR, "`" words[1] "` has no documentation comment")
    for (j = 1; j <= e_values[e]; j++) if (e_value[e, j] == words[1]) fault(NR, "`" words[1] "` appears twice")
    if (e_values[e] >= 255) fault(NR, "too many values")
    j = ++e_values[e]; e_value[e, j] = words[1]; e_value_doc[e, j] = doc; next
}
open == "command" {
    if (words[1] == "in") add_field(k_in[n_commands], 2, n)
    else if (words[1] == "out") add_field(k_out[n_commands], 2, n)
    else fault(NR, "a command's field begins with in or out")
    next
}
{ add_field(block, 1, n) }

# ---------------------------------------------------------------- checks over the whole

function check_keys(m,    keys, n_keys, i, j, b, found) {
    b = m_block[m]; m_key_list[m] = ""; m_gone[m] = -1
    for (j = 1; j <= b_fields[b]; j++) if (f_name[b, j] == "gone" && f_type[b, j] == "bool") m_gone[m] = j - 1
    if (m_keys[m] == "") return
    n_keys = split(m_keys[m], keys, ",")
    for (i = 1; i <= n_keys; i++) {
        found = 0
        for (j = 1; j <= b_fields[b]; j++) if (f_name[b, j] == keys[i]) found = j
        if (!found) fault(m_line[m], "key `" keys[i] "` is no field of `" m_name[m] "`")
        if (f_list[b, found] || f_type[b, found] == "struct" || f_type[b, found] == "secret")
            fault(m_line[m], "key `" keys[i] "` is not a plain value")
        m_key_list[m] = m_key_list[m] (i > 1 ? ", " : "") (found - 1)
    }
    m_n_keys[m] = n_keys
}

# Structs first that others hold: a walk in depth; `walk` 1 = being visited, 2 = in the order.
function visit(b,    j, ref) {
    if (walk[b] == 2) return
    if (walk[b] == 1) fault(b_line[b], "struct `" b_name[b] "` contains itself")
    walk[b] = 1
    for (j = 1; j <= b_fields[b]; j++) {
        ref = f_ref[b, j]
        if (f_type[b, j] == "enum" && !(ref in enum_of)) fault(f_line[b, j], "unknown enum `" ref "`")
        if (f_type[b, j] == "struct") {
            if (!(ref in struct_of)) fault(f_line[b, j], "unknown struct `" ref "`")
            visit(struct_of[ref])
        }
    }
    walk[b] = 2; order[++n_order] = b
}

function sort_messages(    i, j, m) {
    for (i = 1; i <= n_messages; i++) {
        for (j = i - 1; j >= 1 && m_number[by_number[j]] > m_number[i]; j--) by_number[j + 1] = by_number[j]
        by_number[j + 1] = i
    }
}

# ---------------------------------------------------------------- C

function field_text(b, j) {
    return (f_list[b, j] ? "list " : "") f_type[b, j] (f_ref[b, j] == "" ? "" : ":" f_ref[b, j])
}

function c_member(b, j,    name, type) {
    name = c_name(f_name[b, j])
    if (f_type[b, j] == "string") return "char " name "[" f_limit[b, j] " + 1];"
    if (f_type[b, j] == "bytes" || f_type[b, j] == "secret")
        return "struct {\n        uint16_t len;\n        uint8_t data[" f_limit[b, j] "];\n    } " name ";"
    if (f_type[b, j] == "mac") return "uint8_t " name "[6];"
    type = f_type[b, j] == "struct" ? "struct " c_tag(f_ref[b, j]) : c_type[f_type[b, j]]
    if (f_list[b, j]) return "unsigned n_" name ";\n    " type " " name "[" f_limit[b, j] "];"
    return type " " name ";"
}

function c_comment(text) { gsub(/\*\//, "* /", text); return "/* " text " */" }

function header(    e, i, j, b, m, name) {
    print "/* Made by generate.awk from messages.schema. */"
    print "#ifndef BUS_MESSAGES_H\n#define BUS_MESSAGES_H\n"
    print "#include <stdbool.h>\n#include <stdint.h>\n\n#include \"firmware/bus/bus.h\"\n"
    print "#define BUS_SCHEMA_VERSION " version "\n"
    for (e = 1; e <= n_enums; e++) {
        name = c_upper(e_name[e])
        print "enum " c_tag(e_name[e]) " {"
        for (j = 1; j <= e_values[e]; j++)
            print "    " name "_" substr(c_upper(e_value[e, j]), 5) (j < e_values[e] ? ", " : " ") \
                c_comment(e_value_doc[e, j])
        print "};\n#define " name "_COUNT " e_values[e]
        print "/* Names as in the schema, then NULL. */"
        print "extern const char *const " c_tag(e_name[e]) "_names[];\n"
    }
    print "enum bus_number {"
    for (i = 1; i <= n_messages; i++) {
        m = by_number[i]
        print "    " c_upper(m_name[m]) " = " m_number[m] (i < n_messages ? "," : "")
    }
    print "};\n"
    for (i = 1; i <= n_order; i++) {
        b = order[i]
        print "struct " c_tag(b_name[b]) " {"
        for (j = 1; j <= b_fields[b]; j++)
            print "    " c_member(b, j) " " c_comment(f_doc[b, j] (f_type[b, j] == "enum" ? " (enum " c_tag(f_ref[b, j]) ")" : ""))
        if (!b_fields[b]) print "    uint8_t nothing; /* C has no empty struct */"
        print "};\nextern const struct bus_struct bus_struct_" substr(c_tag(b_name[b]), 5) ";\n"
    }
    print "#endif"
}

function c_field(b, j,    tag, name, text, type) {
    tag = "struct " c_tag(b_name[b]); name = c_name(f_name[b, j])
    type = toupper(f_type[b, j])
    text = "    {.name = " quote(f_name[b, j]) ", .doc = " quote(f_doc[b, j]) ",\n     .type = BUS_FIELD_" \
        (f_list[b, j] ? "LIST, .element = BUS_FIELD_" type : type)
    text = text ", .offset = offsetof(" tag ", " name ")"
    if (f_list[b, j])
        text = text ",\n     .count_offset = offsetof(" tag ", n_" name "), .element_size = sizeof(((" tag " *)0)->" name "[0])"
    if (f_limit[b, j]) text = text ",\n     .limit = " f_limit[b, j]
    if (f_type[b, j] == "struct") text = text ",\n     .of = &bus_struct_" substr(c_tag(f_ref[b, j]), 5)
    if (f_type[b, j] == "enum")
        text = text ",\n     .limit = " e_values[enum_of[f_ref[b, j]]] ", .enum_names = " c_tag(f_ref[b, j]) "_names"
    return text "},"
}

function source(    e, i, j, b, m, c, tag) {
    print "/* Made by generate.awk from messages.schema. */"
    print "#include \"messages.h\"\n\n#include <stddef.h>\n"
    for (e = 1; e <= n_enums; e++) {
        print "const char *const " c_tag(e_name[e]) "_names[] = {"
        for (j = 1; j <= e_values[e]; j++) print "    " quote(e_value[e, j]) ","
        print "    NULL,\n};\n"
    }
    for (i = 1; i <= n_order; i++) {
        b = order[i]; tag = substr(c_tag(b_name[b]), 5)
        if (b_fields[b]) {
            print "static const struct bus_field fields_" tag "[] = {"
            for (j = 1; j <= b_fields[b]; j++) print c_field(b, j)
            print "};"
        }
        print "const struct bus_struct bus_struct_" tag " = {"
        print "    .name = " quote(b_name[b]) ", .size = sizeof(struct bus_" tag "),"
        print "    .fields = " (b_fields[b] ? "fields_" tag : "NULL") ", .n_fields = " b_fields[b] ",\n};\n"
    }
    for (m = 1; m <= n_messages; m++)
        if (m_keys[m] != "")
            print "static const uint8_t keys_" substr(c_tag(m_name[m]), 5) "[] = {" m_key_list[m] "};"
    print "\nconst struct bus_type bus_types[] = {"
    for (i = 1; i <= n_messages; i++) {
        m = by_number[i]; tag = substr(c_tag(m_name[m]), 5)
        print "    {.number = " m_number[m] ", .kind = BUS_" toupper(m_kind[m]) ", .retained = " \
            (m_keys[m] != "" ? "true" : "false") ", .name = " quote(m_name[m]) ","
        print "     .body = &bus_struct_" tag ", .keys = " (m_keys[m] != "" ? "keys_" tag : "NULL") \
            ", .n_keys = " (m_n_keys[m] + 0) ", .gone = " m_gone[m] "},"
    }
    print "};\nconst unsigned bus_n_types = " n_messages ";\n"
    print "const struct bus_command bus_commands[] = {"
    for (c = 1; c <= n_commands; c++) {
        tag = c_tag(k_name[c]); tag = substr(tag, 5)
        print "    {.name = " quote(k_name[c]) ", .doc = " quote(k_doc[c]) ","
        print "     .in = &bus_struct_command_" tag "_in, .out = &bus_struct_command_" tag "_out},"
    }
    print "    {.name = NULL},\n};\nconst unsigned bus_n_commands = " n_commands ";"
}

# ---------------------------------------------------------------- JSON and Python (one shape)

function data_fields(b, pad,    j, text) {
    if (!b_fields[b]) return "[]"
    text = "["
    for (j = 1; j <= b_fields[b]; j++)
        text = text (j > 1 ? "," : "") "\n" pad "  {\"name\": " quote(f_name[b, j]) ", \"type\": " \
            quote(field_text(b, j)) ", \"limit\": " f_limit[b, j] ", \"doc\": " quote(f_doc[b, j]) "}"
    return text "\n" pad "]"
}

# Containers open as JSON objects; Python only differs in how the four are named.
function data(open_text, close_text, separator,    e, i, j, m, c, b, first, text, keys, n_keys) {
    printf "%s", sprintf(open_text, "version") version separator
    printf "%s{", sprintf(open_text, "enums")
    for (e = 1; e <= n_enums; e++) {
        text = ""
        for (j = 1; j <= e_values[e]; j++) text = text (j > 1 ? ", " : "") quote(e_value[e, j])
        printf "%s\n  %s: [%s]", (e > 1 ? "," : ""), quote(e_name[e]), text
    }
    printf "\n}%s%s{", separator, sprintf(open_text, "structs")
    first = 1
    for (b = 1; b <= n_blocks; b++) {
        if (!(b_name[b] in struct_of)) continue
        printf "%s\n  %s: %s", (first ? "" : ","), quote(b_name[b]), data_fields(b, "  ")
        first = 0
    }
    printf "\n}%s%s{", separator, sprintf(open_text, "messages")
    for (i = 1; i <= n_messages; i++) {
        m = by_number[i]; text = ""
        n_keys = m_keys[m] == "" ? 0 : split(m_keys[m], keys, ",")
        for (j = 1; j <= n_keys; j++) text = text (j > 1 ? ", " : "") quote(keys[j])
        printf "%s\n  %s: {\"number\": %d, \"kind\": %s, \"keys\": [%s], \"fields\": %s}", \
            (i > 1 ? "," : ""), quote(m_name[m]), m_number[m], quote(m_kind[m]), text, data_fields(m_block[m], "  ")
    }
    printf "\n}%s%s{", separator, sprintf(open_text, "commands")
    for (c = 1; c <= n_commands; c++)
        printf "%s\n  %s: {\"doc\": %s, \"in\": %s,\n    \"out\": %s}", (c > 1 ? "," : ""), quote(k_name[c]), \
            quote(k_doc[c]), data_fields(k_in[c], "    "), data_fields(k_out[c], "    ")
    printf "\n}%s", close_text
}

function python(    b, m) {
    print "\"\"\"Messages, events and monitor commands of vchassis.\n"
    print "Made by generate.awk from messages.schema. A field's type is as in the schema; limit is the\n" \
          "most bytes or elements, 0 where there is none.\n\"\"\"\n"
    data("%s = ", "\n", "\n\n")
    print ""
    for (m = 1; m <= n_messages; m++) print substr(c_upper(m_name[by_number[m]]), 5) " = " m_number[by_number[m]]
}

# ---------------------------------------------------------------- reference page

function md_fields(b,    j) {
    if (!b_fields[b]) { print "No fields.\n"; return }
    print "| field | type | limit | meaning |\n|---|---|---|---|"
    for (j = 1; j <= b_fields[b]; j++)
        print "| `" f_name[b, j] "` | " field_text(b, j) " | " (f_limit[b, j] ? f_limit[b, j] : "") " | " f_doc[b, j] " |"
    print ""
}

function reference(    e, i, j, b, m, c) {
    print "# Messages, events and monitor commands\n"
    print "Made from `firmware/bus/messages.schema`, schema version " version ".\n"
    print "## Messages\n"
    for (i = 1; i <= n_messages; i++) {
        m = by_number[i]; b = m_block[m]
        print "### " m_name[m] " (" m_number[m] ", " m_kind[m] \
            (m_keys[m] == "" ? "" : ", retained by " m_keys[m]) ")\n"
        if (b_doc[b] != "") print b_doc[b] "\n"
        md_fields(b)
    }
    print "## Structures\n"
    for (b = 1; b <= n_blocks; b++) {
        if (!(b_name[b] in struct_of)) continue
        print "### " b_name[b] "\n"
        md_fields(b)
    }
    print "## Enumerations\n"
    for (e = 1; e <= n_enums; e++) {
        print "### " e_name[e] "\n\n| value | name | meaning |\n|---|---|---|"
        for (j = 1; j <= e_values[e]; j++)
            print "| " (j - 1) " | `" e_value[e, j] "` | " e_value_doc[e, j] " |"
        print ""
    }
    print "## Monitor commands\n"
    for (c = 1; c <= n_commands; c++) {
        print "### " k_name[c] "\n"
        if (k_doc[c] != "") print k_doc[c] "\n"
        if (b_fields[k_in[c]]) { print "Arguments:\n"; md_fields(k_in[c]) }
        if (b_fields[k_out[c]]) { print "Returns:\n"; md_fields(k_out[c]) }
    }
}

END {
    if (failed) exit 1
    if (version == "") fault(NR, "no version")
    for (e = 1; e <= n_enums; e++) if (!e_values[e]) fault(e_line[e], "enum `" e_name[e] "` has no values")
    n_order = 0
    for (b = 1; b <= n_blocks; b++) {
        if (b_name[b] in struct_of && !b_fields[b]) fault(b_line[b], "struct `" b_name[b] "` has no fields")
        visit(b)
    }
    for (m = 1; m <= n_messages; m++) check_keys(m)
    sort_messages()
    if (mode == "header") header()
    else if (mode == "source") source()
    else if (mode == "json") { print "{"; data("\"%s\": ", "}\n", ",\n") }
    else if (mode == "python") python()
    else if (mode == "reference") reference()
    else fault(0, "mode is one of header, source, json, python, reference")
}
