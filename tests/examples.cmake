# cmake -D compiler=CC -D prefix=DIR -D out=DIR -P tests/examples.cmake
#
# Compiles the examples of the documents against the installed library, as a reader would:
# - each ```c block of README.md with a main() becomes a program, which is also linked;
# - the first indented block of a header's opening comment becomes the body of a function.
cmake_minimum_required(VERSION 3.20)
get_filename_component(root ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)
file(GLOB_RECURSE pc ${prefix}/*/clseq.pc)
get_filename_component(pc_dir "${pc}" DIRECTORY)
set(ENV{PKG_CONFIG_PATH} ${pc_dir})
execute_process(COMMAND pkg-config --cflags --libs clseq OUTPUT_VARIABLE flags COMMAND_ERROR_IS_FATAL ANY
                OUTPUT_STRIP_TRAILING_WHITESPACE)
separate_arguments(flags UNIX_COMMAND "${flags}")
file(MAKE_DIRECTORY ${out})
set(failed "")

# Writes the code to out/NAME.c and compiles it; further arguments go to the compiler.
function(compile name code)
    file(WRITE ${out}/${name}.c "${code}")
    execute_process(COMMAND ${compiler} -std=c11 -Wall -Wextra -Wno-unused -Werror ${out}/${name}.c ${ARGN} ${flags}
                    RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        set(failed ${failed} ${name} PARENT_SCOPE)
    endif()
endfunction()

file(READ ${root}/README.md text)
set(programs 0)
string(FIND "${text}" "\n```c\n" begin)
while(NOT begin EQUAL -1)
    math(EXPR begin "${begin} + 6")
    string(SUBSTRING "${text}" ${begin} -1 text)
    string(FIND "${text}" "\n```" end)
    string(SUBSTRING "${text}" 0 ${end} code)
    if(code MATCHES "int main")
        math(EXPR programs "${programs} + 1")
        compile(readme_${programs} "${code}\n" -o ${out}/readme_${programs})
    endif()
    string(FIND "${text}" "\n```c\n" begin)
endwhile()

set(examples 0)
file(GLOB headers ${root}/include/clseq/*.h)
foreach(header IN LISTS headers)
    file(READ ${header} text)
    string(FIND "${text}" "*/" end)
    string(SUBSTRING "${text}" 0 ${end} text)
    get_filename_component(name ${header} NAME_WE)
    if(text MATCHES "\n \\*     [^\n]*(\n \\*     [^\n]*|\n \\*)*")
        string(REGEX REPLACE "\n \\*(     )?" "\n    " code "${CMAKE_MATCH_0}")
        math(EXPR examples "${examples} + 1")
        compile(${name}_h "#include <clseq/clseq.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n
void example(void);\nvoid example(void)\n{${code}\n}\n" -fsyntax-only)
    elseif(NOT name STREQUAL "version")
        message("include/clseq/${name}.h opens without an example")
        list(APPEND failed ${name}_h)
    endif()
endforeach()

message(STATUS "${programs} programs of README.md, ${examples} examples of headers")
if(failed)
    list(JOIN failed ", " failed)
    message(FATAL_ERROR "These examples are missing or do not compile: ${failed}")
elseif(programs EQUAL 0)
    message(FATAL_ERROR "README.md has no program.")
endif()
