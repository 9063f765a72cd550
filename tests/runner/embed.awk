# embed.awk - a text file as a C string; -v name=SYMBOL.
BEGIN {
    printf "/* generated */\nextern const char %s[];\nconst char %s[] =\n", name, name
}
{
    gsub(/\\/, "\\\\")
    gsub(/"/, "\\\"")
    printf "    \"%s\\n\"\n", $0
}
END { print "    \"\";" }
