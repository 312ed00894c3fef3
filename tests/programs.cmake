# The Criterion programs.
pkg_check_modules(CRITERION REQUIRED IMPORTED_TARGET criterion)

file(GLOB support_sources CONFIGURE_DEPENDS support/*.c)
add_library(test-support STATIC ${support_sources})
target_link_libraries(test-support PUBLIC common)

# Preloaded into a real broker: its disk then fails on command.
add_library(failing_sync MODULE integration/failing_sync.c)
set_target_properties(failing_sync PROPERTIES PREFIX ""
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})

foreach(kind unit integration)
    file(GLOB test_sources CONFIGURE_DEPENDS ${kind}/test_*.c)
    foreach(source ${test_sources})
        get_filename_component(name ${source} NAME_WE)
        add_executable(${name} ${source})
        target_link_libraries(${name} PRIVATE
            PkgConfig::CRITERION test-support cli broker
            service-order service-payment service-inventory service-notification
            service-fraud service-ledger service-transfer)
        if(kind STREQUAL "integration")
            add_dependencies(${name} faultline-broker failing_sync) # it starts one
        endif()
        set(timeout 120)
        if(name STREQUAL "test_broker_kills")
            set(timeout 280) # 200 lives of a broker
        endif()
        add_test(NAME ${kind}.${name} COMMAND ${name} --timeout ${timeout})
        # A leak does not fail a Criterion test by itself: read what it prints.
        set_tests_properties(${kind}.${name} PROPERTIES
            LABELS ${kind}
            ENVIRONMENT "FAULTLINE_BIN=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};FAULTLINE_SOURCE=${CMAKE_SOURCE_DIR}"
            FAIL_REGULAR_EXPRESSION "LeakSanitizer|AddressSanitizer|ThreadSanitizer|runtime error:")
    endforeach()
endforeach()

# A dozen processes at once, for a minute: nothing beside it.
set_tests_properties(integration.test_broker_kills PROPERTIES PROCESSORS 4)

