# The fuzz targets: with libFuzzer in the preset fuzz, else as tests that run what lies
# in corpus/.
file(GLOB fuzz_targets CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/fuzz_*.c)
file(GLOB fuzz_support CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/*.c)
list(REMOVE_ITEM fuzz_support ${fuzz_targets} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus_main.c)
add_library(fuzz-support STATIC ${fuzz_support})
target_link_libraries(fuzz-support PUBLIC broker)

foreach(source ${fuzz_targets})
    get_filename_component(name ${source} NAME_WE)
    string(REPLACE fuzz_ "" target ${name})
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE fuzz-support)
    if("fuzz" IN_LIST FAULTLINE_STORIES)
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    else()
        target_sources(${name} PRIVATE fuzz/corpus_main.c)
        add_test(NAME unit.${name}
            COMMAND ${name} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${target})
        set_tests_properties(unit.${name} PROPERTIES LABELS unit)
    endif()
endforeach()
