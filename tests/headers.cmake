# cmake -P tests/headers.cmake
#
# Public headers keep what clang-format and later versions could break without a word: a comment stands above a
# declaration, or behind it in the same line, and every enumerator has its number.
cmake_minimum_required(VERSION 3.20)
get_filename_component(root ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)
set(wrong "")
file(GLOB headers ${root}/include/clseq/*.h)
# These two do not keep to it yet.
foreach(header IN LISTS headers)
    file(READ ${header} text)
    string(REPLACE ";" "@" text "${text}")  # a list's separator
    string(REGEX REPLACE "[][]" "_" text "${text}")
    get_filename_component(name ${header} NAME)
    # Code and a comment that does not end in its line; a line that ends within a declaration and such a comment behind
    # what is left of it.
    string(REGEX MATCHALL "\n[^\n/*]*[^ \n/*#][^\n/*]*/\\*([^*\n]|\\*[^/\n])*\n" broken "${text}")
    string(REGEX MATCHALL "\n    [a-z][a-z0-9_ ]*[ *]*\n +[a-z*][^\n/]*@ */\\*[^\n]*" split "${text}")
    foreach(line IN LISTS broken split)
        string(STRIP "${line}" line)
        string(APPEND wrong "${name}: a comment behind a declaration goes over lines: ${line}\n")
    endforeach()
    string(REGEX MATCHALL "[\n{,] +CLSEQ_[A-Z0-9_]+,? *(}|/\\*|\n)" bare "${text}")
    foreach(line IN LISTS bare)
        string(REGEX MATCH "CLSEQ_[A-Z0-9_]+" line "${line}")
        if(text MATCHES "enum [a-z_]+ {[^}]*${line} *[,}\n]")
            string(APPEND wrong "${name}: an enumerator without its number: ${line}\n")
        endif()
    endforeach()
endforeach()
if(wrong)
    string(REPLACE "@" ";" wrong "${wrong}")
    message(FATAL_ERROR "${wrong}")
endif()
