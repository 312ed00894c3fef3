# Programs with a plain main: Criterion does not run under the thread sanitizer.
file(GLOB stress_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/tsan/*.c)
foreach(source ${stress_sources})
    get_filename_component(name ${source} NAME_WE)
    add_executable(tsan-${name} ${source})
    target_link_libraries(tsan-${name} PRIVATE common)
    add_test(NAME tsan.${name} COMMAND tsan-${name})
    set_tests_properties(tsan.${name} PROPERTIES
        LABELS tsan
        FAIL_REGULAR_EXPRESSION "ThreadSanitizer"
        ENVIRONMENT "TSAN_OPTIONS=halt_on_error=1 suppressions=${CMAKE_CURRENT_SOURCE_DIR}/tsan/suppressions.txt")
endforeach()
